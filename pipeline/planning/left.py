"""What of a run is done already, by the records of its output."""

from pipeline.errors import PrepareError
from pipeline.plan import Plan, measuring_settings
from pipeline.planning.prediction import Left


def is_finished(plan: Plan) -> bool:
    """Whether a run of this plan has nothing to do."""
    from pipeline.seal import finished_before

    try:
        return finished_before(plan) is not None
    except PrepareError:
        return False  # another run is at work there


def left_of(plan: Plan, all_bytes: float, refine_seconds: float) -> Left | None:
    """What is done of an output that is not finished, under the manifest as it is now."""
    if not (plan.out / "state" / "refine").is_dir():
        return None
    settings = {measuring_settings(plan, source) for source in plan.manifest.sources}
    done = [r for r in plan.records("refine").all() if r.get("settings") in settings]
    num_bytes = sum(record["counts"]["num_read_bytes"] for record in done)
    share = min(1.0, num_bytes / max(1.0, all_bytes))
    return Left(len(done), share, share * refine_seconds) if done else None
