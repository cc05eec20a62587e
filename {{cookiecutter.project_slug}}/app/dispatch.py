# % include cookiecutter.__queue ~ "/app/dispatch.py"
