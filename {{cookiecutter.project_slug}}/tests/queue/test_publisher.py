# % include cookiecutter.__queue ~ "/tests/queue/test_publisher.py"
