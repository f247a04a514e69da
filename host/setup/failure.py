"""The one kind of error that set-up reports: what went wrong, and what the reader can do about it."""


class SetupFailure(Exception):
    def __init__(self, what, advice):
        super().__init__(what)
        self.advice = advice
