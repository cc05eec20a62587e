# % include cookiecutter.__queue ~ "/app/queue/publisher.py"
