"""Where logs of a format usually are, for a question that names no path. Knows paths only."""

from __future__ import annotations

from typing import Final

USUAL: Final = {
    "nginx": ("/var/log/nginx/access.log",),
    "apache": ("/var/log/apache2/access.log", "/var/log/httpd/access_log"),
    "nginx-error": ("/var/log/nginx/error.log",),
    "apache-error": ("/var/log/apache2/error.log", "/var/log/httpd/error_log"),
    "syslog": ("/var/log/syslog", "/var/log/messages"),
}
