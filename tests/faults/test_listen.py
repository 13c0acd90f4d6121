"""The connection that tells a replica of changes dies without a word: what is changed elsewhere arrives all the same."""

import pytest

from harness.proxy import Proxy
from harness.waiting import wait_until
from test_api_support import consumer_body


@pytest.fixture
def proxy(postgres_server):
    proxy = Proxy()
    proxy.target_port = postgres_server.port
    yield proxy
    proxy.close()


@pytest.mark.timeout(90)
def test_changes_arrive_though_the_connection_that_tells_of_them_is_dead(make_server, postgres_server, proxy):
    url = postgres_server.make_database()
    near = make_server("near", DATABASE_URL=url, INSTANCE_ID="near").start()
    behind = make_server("behind", DATABASE_URL=url.replace(f":{postgres_server.port}/", f":{proxy.port}/"), INSTANCE_ID="behind").start()
    first = near.expect(201, "POST", "/api/consumers", consumer_body(near))["consumer_id"]
    wait_until(lambda: behind.api("GET", f"/api/consumers/{first}").status == 200, 20, "a change arrives")
    for number in range(3):
        proxy.swallow()  # neither end hears of it
        second = near.expect(201, "POST", "/api/consumers", consumer_body(near))["consumer_id"]
        wait_until(lambda: behind.api("GET", f"/api/consumers/{second}").status == 200, 20, "a change arrives")
        near.expect(204, "DELETE", f"/api/consumers/{second}")
        wait_until(lambda: behind.api("GET", f"/api/consumers/{second}").status == 404, 20, "and another")
    wait_until(lambda: behind.api("GET", "/readyz").status == 200, 20, "it is well")
