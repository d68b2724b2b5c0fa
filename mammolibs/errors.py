"""The one family of errors.

    MammolibsError
    |- BadFile             a file that cannot be used: which, what is wrong, what to do
    |  |- Refused          a file that could be used and that the policy keeps out
    |- BadData             catalog, labels or split that contradict themselves
    |- BadConfig           a flag or field with a value that is not allowed
    |- BadWeights          a checkpoint that does not fit what it is loaded into
    |- RuntimeUnavailable  an accelerator or a service that is asked for and not there
    |- RunInterrupted      a run that was told to stop and has saved its state

Each is named by what the reader must do. A script prints the message as one line
and exits with `exit_code`; `--debug` shows the traceback.
"""


class MammolibsError(Exception):
    """Base of all errors that mammolibs raises on purpose."""

    exit_code = 2


class BadFile(MammolibsError):
    """A file that cannot be used. Carries the file, what is wrong with it, and the remedy."""

    def __init__(self, file, problem: str, remedy: str = ""):
        self.file = str(file)
        self.problem = problem
        self.remedy = remedy
        super().__init__(self.file, problem, remedy)

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


class Refused(BadFile):
    """An image that the acceptance policy keeps out. Carries its verdict besides."""

    def __init__(self, file, problem: str, remedy: str, verdict):
        super().__init__(file, problem, remedy)
        self.verdict = verdict
        self.args = (self.file, problem, remedy, verdict)


class BadData(MammolibsError):
    """A catalog, label table or split that contradicts itself or what it describes."""


class BadConfig(MammolibsError):
    """A flag or field whose value is not allowed. The message names the nearest allowed value."""


class BadWeights(MammolibsError):
    """Weights that do not fit the network, the contract or the data they meet."""


class RuntimeUnavailable(MammolibsError):
    """An accelerator, a library or a service that is asked for and not there."""


class RunInterrupted(MammolibsError):
    """The run was told to stop, has finished its step and saved its state."""

    exit_code = 75


class HostRead(UserWarning):
    """The host waits for the device inside a training step. A warning in a run, an error in the tests."""
