"""Everything `prepare` can raise on purpose.

    PrepareError                    the data or the run failed a check: exit code 1
    ├── QuarantineError             more rows were unreadable than the manifest allows
    ├── LedgerError                 rows read != kept + dropped + quarantined
    ├── WorkerError                 a worker process died again and again on one item
    ├── ShardError                  a shard directory is missing, incomplete or damaged
    ├── OutputError                 the output cannot be written: a full disk, a read-only folder
    └── UsageError (ValueError)     the command or its input is wrong: exit code 2
        ├── ManifestError           the manifest: line, field, what was got, what is wanted
        └── SourceError             a path, format or field of a source

A message says, in this order: where, what was got, what is wanted, how to mend it.
"""


class PrepareError(Exception):
    """The data or the run failed a check. Exit code 1."""


class QuarantineError(PrepareError):
    """More rows were quarantined than `limits.max_quarantined_fraction` allows."""


class LedgerError(PrepareError):
    """The rows read are not the rows kept, dropped and quarantined."""


class WorkerError(PrepareError):
    """A worker process died repeatedly on the same work item, or raised."""


class ShardError(PrepareError):
    """A shard directory is missing, incomplete or damaged, or names files that are not in it."""


class OutputError(PrepareError):
    """A file of the output cannot be written: a full disk, a limit, a read-only folder."""


class UsageError(PrepareError, ValueError):
    """The command line or one of its inputs is wrong. Exit code 2."""


class ManifestError(UsageError):
    """The manifest is not valid."""


class SourceError(UsageError):
    """A source's path, format or field is wrong."""
