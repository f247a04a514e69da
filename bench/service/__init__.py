"""A reference of the older Python service's way: FastAPI, Celery on Redis, PyTorch, MongoDB, Cloudinary."""
