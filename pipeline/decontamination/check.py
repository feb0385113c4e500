"""`prepare verify`: no kept document matches a set that drops or cuts."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.decontamination.match import Decontaminator
from pipeline.decontamination.sets import FOLDER
from pipeline.decontamination.table import NgramTable
from pipeline.manifest import load_manifest
from pipeline.records import Record
from pipeline.refined import COMPARED, RowReader
from pipeline.text.pii.stored import compared

MANIFEST_NAME = "manifest.yaml"
MAX_NAMED = 5


def contaminated_documents(out: Path, tables: list[Record], refined: list[Record]) -> Iterator[str]:
    """A sentence for some of the documents that should have gone, or been cut."""
    for table in tables:
        sets = load_manifest(out / MANIFEST_NAME).decontaminate
        decontaminator = Decontaminator(sets, NgramTable.load(out / FOLDER, table["fingerprint"]))
        for record in refined:
            path = out / record["outputs"]["kept"]["path"]
            for batch in RowReader(path, "id", COMPARED).batches():
                mask = decontaminator.is_contaminated(compared(batch))
                for row in mask.nonzero()[0][:MAX_NAMED].tolist():
                    name = batch["id"][row].as_py()
                    yield f"{path}: document {name!r} is kept, but matches an evaluation set"
