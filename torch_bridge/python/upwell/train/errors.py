"""What a user can put right: told in one line that names the file or the option, without a traceback."""


class TrainingError(Exception):
    pass
