# % include cookiecutter.__dispatch
