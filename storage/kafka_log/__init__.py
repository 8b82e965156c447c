"""The log on Kafka, through aiokafka: a writer, a reader and an administrator.

Each belongs to the event loop in which it is started; ``start`` comes before anything else.
"""

from storage.kafka_log.admin import KafkaLogAdmin
from storage.kafka_log.reader import KafkaLogReader
from storage.kafka_log.writer import KafkaLogWriter

__all__ = ["KafkaLogAdmin", "KafkaLogReader", "KafkaLogWriter"]
