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
    """The data or the run failed a check. Exit code 1.

    Cure: read the message; what was finished before stays, and the same command goes on from there.
    """


class QuarantineError(PrepareError):
    """More rows were quarantined than `limits.max_quarantined_fraction` allows.

    Cure: look at the rows with `prepare quarantine OUT`, mend the inputs or the manifest, or raise
    the limit if the loss is right.
    """


class LedgerError(PrepareError):
    """The rows read are not the rows kept, dropped and quarantined.

    Cure: run it again with `--mend`; if it stays, it is an error of Headwater: report it with
    `ledger.json`.
    """


class WorkerError(PrepareError):
    """A worker process died repeatedly on the same work item, or raised.

    Cure: `--debug` shows where. Fewer `--workers` where memory ran out; a document that kills the
    worker is named: take it out, or report it.
    """


class ShardError(PrepareError):
    """A shard directory is missing, incomplete or damaged, or names files that are not in it.

    Cure: `prepare verify OUT` names each fault, `prepare run MANIFEST --mend` makes those files
    again.
    """


class OutputError(PrepareError):
    """A file of the output cannot be written: a full disk, a limit, a read-only folder.

    Cure: free space, or rights to write there, then the same command: it goes on where it stopped.
    """


class UsageError(PrepareError, ValueError):
    """The command line or one of its inputs is wrong. Exit code 2.

    Cure: the message says what is wanted; `--help` lists the options.
    """


class ManifestError(UsageError):
    """The manifest is not valid.

    Cure: mend the line and key that the message names; the reference of the manifest has every key.
    """


class SourceError(UsageError):
    """A source's path, format or field is wrong.

    Cure: mend the path, format or field of the source that the message names.
    """
