"""The one exception a user sees: a sentence that names what is wrong and the mend."""


class SemFlowError(Exception):
    """A mistake in a file, a key, a download or a checkpoint. The command line prints it and exits with status 2."""


class Interrupted(SemFlowError):
    """Ctrl-C or SIGTERM arrived and the state is safe. The command line exits with status 130."""
