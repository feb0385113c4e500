"""Everything `train` can raise on purpose.

    TrainError                      the run failed a check: exit code 1
    ├── DivergedError               the loss or the gradient was not finite too often in a row
    ├── GateError                   a source got worse by more than the gate allows
    ├── ObjectiveError              an objective does not keep its contract
    ├── ResumeMismatchError         ranks or readers do not see the same batches
    ├── CheckpointError             a checkpoint cannot be written or read back
    ├── ReportError                 a file that a report is made of is damaged
    └── UsageError (ValueError)     the command or its input is wrong: exit code 2
        ├── ConfigError             the train config: line, field, what was got, what is wanted
        ├── DataError               shards that do not fit each other, the model or the run
        ├── ModelError              a model that cannot be loaded, or whose attention leaks
        └── ResumeError             the run to resume had other shards or another config

A message says, in this order: where, what was got, what is wanted, how to mend it.
"""


class TrainError(Exception):
    """The run failed a check. Exit code 1.

    Cure: read the message; the last checkpoint is whole, and the same command goes on from it.
    """


class DivergedError(TrainError):
    """Too many steps in a row had a loss or a gradient that is not finite.

    Cure: look at the rows that `metrics.jsonl` names; then a new run (another `--out`) with a lower
    `lr.peak` or with `precision: fp32`.
    """


class GateError(TrainError):
    """A source's perplexity rose by more than `gate` allows; the run was saved and stopped.

    Cure: more `replay`, a lower `lr.peak` or a `kl` term, in a new run; or a wider `gate`, which
    may change when a run is resumed.
    """


class ObjectiveError(TrainError):
    """An objective of the user's own does not keep the contract.

    Cure: return what the message wants: the sum, the number of units, and metrics.
    """


class ResumeMismatchError(TrainError):
    """`verify-resume` found batches that depend on the number of ranks or readers.

    Cure: no setting mends it: it is an error of Headwater; report it with the command and config.
    """


class CheckpointError(TrainError):
    """A checkpoint cannot be written, or is not what was written.

    Cure: free space and run the same command; a damaged checkpoint can be deleted, then the run
    goes on from the one before.
    """


class ReportError(TrainError):
    """A file that a report is made of cannot be read.

    Cure: remove the line or file that the message names; the run goes on from its checkpoints and
    does not need it.
    """


class UsageError(TrainError, ValueError):
    """The command line or one of its inputs is wrong. Exit code 2.

    Cure: the message says what is wanted; `--help` lists the options.
    """


class ConfigError(UsageError):
    """The train config is not valid.

    Cure: mend the line and key that the message names; the reference of the train config has every
    key.
    """


class DataError(UsageError):
    """The shards do not fit each other, the model or the run.

    Cure: prepare the shards with one tokenizer and sequence length, which are those of the model,
    or leave out those that do not fit.
    """


class ModelError(UsageError):
    """The model cannot be loaded, or its attention sees other documents of a packed row.

    Cure: give a directory that `from_pretrained` loads; for a leak `attention: eager` or another
    version of transformers.
    """


class ResumeError(UsageError):
    """The run in `out` had other shards or another config.

    Cure: the message has the difference: take it back, or give another `--out` for a new run.
    """
