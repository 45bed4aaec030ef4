"""The rules that a request can break, by name; their order is their number on the monitor's wire."""

from enum import StrEnum


class Rule(StrEnum):
    """Rules whose breach depends on the model: another model might take the same request."""

    MISSING_COLUMN = "missing_column"
    UNKNOWN_COLUMN = "unknown_column"
    COLUMN_COUNT = "column_count"
    DATATYPE = "datatype"
    MISSING_VALUE = "missing_value"
    OUT_OF_RANGE = "out_of_range"
    UNSEEN_CATEGORY = "unseen_category"
    UNKNOWN_OUTPUT = "unknown_output"
    MODEL_REFUSED = "model_refused"


RULES = tuple(Rule)
NUMBER = {rule: number for number, rule in enumerate(RULES)}
