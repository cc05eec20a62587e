# % include cookiecutter.__queue ~ "/tests/test_dispatch.py"
