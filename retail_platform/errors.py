"""The one root of the errors that we raise on purpose.

Every message says what is wrong, where, and what to do next. The command line prints such an
error without a traceback; anything else that escapes is a bug and keeps its traceback.
"""


class RetailError(Exception):
    """Something a user can mend; the message says how."""


class ConfigurationError(RetailError):
    """A wrong setting, option, name or query: the command line exits with 2."""


class SourceError(RetailError):
    """The source database cannot be read or written, or does not hold what is asked of it."""


class OrderRefused(RetailError):
    """An order that cannot be taken as it is; the message tells the visitor what to change."""


class AuditError(RetailError):
    """A blocking check failed: nothing of the layer was published."""


class LakeError(RetailError):
    """The lake cannot be read or written as asked."""


class EngineError(RetailError):
    """An engine could not run a model or write its result."""


class TrainingError(RetailError):
    """A history from which no recommender can be trained, or input that one cannot take."""


class VectorStoreError(RetailError):
    """The vector store cannot be reached, or cannot take or give what it is asked for."""


class StreamError(RetailError):
    """Live events could not be sent."""
