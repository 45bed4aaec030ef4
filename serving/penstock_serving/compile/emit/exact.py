"""Being exact about what is compiled: the type itself, every parameter known, nothing overridden on the instance."""

from typing import Any

from penstock_serving.compile.errors import NotCompiledError


def name_of(estimator: object) -> str:
    """What messages call an estimator: its class."""
    return type(estimator).__name__


def require_parameters(estimator: Any, *known: str) -> None:
    """Raise `NotCompiledError` where the estimator has a parameter whose meaning was not considered.

    `known` are names, several to a text, separated by spaces.
    """
    unknown = set(estimator.get_params(deep=False)).difference(*(names.split() for names in known))
    if unknown:
        raise NotCompiledError(
            f"the {name_of(estimator)} of the installed scikit-learn has parameters that are not considered: "
            f"{', '.join(sorted(unknown))}"
        )


def require_plain(estimator: Any) -> None:
    """Raise `NotCompiledError` where an instance overrides a method of its class.

    Whether steps hand over arrays or DataFrames of pandas is all the same: the values are.
    """
    for attribute, value in vars(estimator).items():
        if callable(getattr(type(estimator), attribute, None)) and callable(value):
            raise NotCompiledError(f"the {name_of(estimator)} has a method of its own: {attribute}")
    if vars(estimator).get("_sklearn_output_config", {}).get("transform", "default") not in {"default", "pandas"}:
        raise NotCompiledError(f"the {name_of(estimator)} is set to give data frames other than pandas'")


def require(condition: bool, estimator: object, what: str) -> None:  # noqa: FBT001
    """Raise `NotCompiledError` saying that an estimator with `what` is not compiled, unless the condition holds."""
    if not condition:
        raise NotCompiledError(f"a {name_of(estimator)} with {what} is not compiled")
