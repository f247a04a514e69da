"""Celery as the HTTP side sees it: names of tasks, and no model."""

from celery import Celery

from service.settings import Settings

settings = Settings.read()
queue = Celery("service", broker=settings.redis_url, backend=settings.redis_url)
queue.conf.update(task_ignore_result=False, broker_pool_limit=10)
