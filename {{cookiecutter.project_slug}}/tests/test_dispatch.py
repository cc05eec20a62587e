# % include cookiecutter.__dispatch_test
