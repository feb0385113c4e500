"""Everything the filters can raise on purpose.

FilterError                          a filter broke its contract
├── FilterConfigError (ValueError)   a parameter is out of range, or a name is unknown
└── FilterLoadError                  a model or list that a filter needs cannot be loaded
"""


class FilterError(Exception):
    """A filter broke its contract, such as a mask with nulls or of another length.

    Cure: mend the plugin: `keep` returns one non-null bool a row, `measure` one row a row.
    """


class FilterConfigError(FilterError, ValueError):
    """A parameter of a filter is wrong, or there is no filter of that name.

    Cure: mend the parameter that the message names; `prepare filters NAME` lists them.
    """


class FilterLoadError(FilterError):
    """A model or list that a filter needs cannot be loaded.

    Cure: install the extra that the message names, or put the file where the parameter says.
    """
