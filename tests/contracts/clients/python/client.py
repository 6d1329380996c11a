"""Goes through every operation with the package of openapi-python-client. The steps are the same in
every language."""

import json
import os
from uuid import UUID

from rollcall_client import AuthenticatedClient, Client
from rollcall_client.api.users import (
    create_user,
    delete_user,
    get_user,
    list_user_credentials,
    list_users,
    search_users,
    update_user,
)
from rollcall_client.models import Credential, NewUser, Search, UserUpdate

URL = os.environ["ROLLCALL_URL"]
api = AuthenticatedClient(base_url=URL, token=os.environ["TOKEN"])


def is_error(response, status, code):
    assert (response.status_code, response.parsed.code.value) == (status, code), response


def create_once():
    link = {"subjectId": "idp|1"}
    body = NewUser.from_dict({"claims": {"name": "Ada", "address": {"country": "NZ"}}, "authenticationProvider": link})
    created = create_user.sync_detailed(client=api, body=body, idempotency_key="python-1")
    user = created.parsed
    assert created.status_code == 201 and created.headers["ETag"] == '"1"', created
    assert created.headers["Location"].endswith(f"/{user.id}")
    again = create_user.sync_detailed(client=api, body=body, idempotency_key="python-1")
    assert again.status_code == 200 and again.parsed == user, again
    is_error(create_user.sync_detailed(client=api, body=NewUser(), idempotency_key="python-1"), 422, "UnprocessableEntity")
    assert get_user.sync(user.id, client=api, read_after=created.headers["Log-Position"]) == user
    return user.id


def conditions(user):
    assert get_user.sync_detailed(user, client=api, if_none_match='"1"').status_code == 304
    body = UserUpdate.from_dict({"claims": {"name": "Ada Lovelace"}})
    updated = update_user.sync_detailed(user, client=api, body=body, if_match='"1"')
    assert updated.headers["ETag"] == '"2"'
    assert updated.parsed.claims["name"] == "Ada Lovelace"
    assert updated.parsed.authentication_provider.subject_id == "idp|1"
    is_error(update_user.sync_detailed(user, client=api, body=body, if_match='"1"'), 412, "PreconditionFailed")


def search(user):
    body = Search.from_dict({"claims": {"name": "Ada Lovelace"}, "authenticationProvider": {"subjectId": "idp|1"}})
    found = search_users.sync(client=api, body=body)
    assert [one.id for one in found.data] == [user] and not found.next_cursor


def entries(fetch, limit):
    more = {}
    while True:
        page = fetch(limit=limit, **more)
        yield from page.data
        if not page.next_cursor:
            return
        more = {"cursor": page.next_cursor}


def pages():
    users = {user.id for user in entries(lambda **page: list_users.sync(client=api, **page), 1000)}
    assert len(users) == int(os.environ["USERS"]) + 1, len(users)


def credentials():
    holder = UUID(os.environ["HOLDER"])
    found = entries(lambda **page: list_user_credentials.sync(holder, client=api, **page), 3)
    expected = [Credential.from_dict(one) for one in json.loads(os.environ["CREDENTIALS"])]
    assert list(found) == expected


def remove(user):
    assert delete_user.sync_detailed(user, client=api).status_code == 204
    gone = get_user.sync_detailed(user, client=api)
    is_error(gone, 404, "NotFound")
    assert gone.parsed.details[0].value == str(user)
    is_error(create_user.sync_detailed(client=api, body=NewUser(), idempotency_key="python-1"), 409, "Conflict")


def refusals():
    large = list_users.sync_detailed(client=api, limit=1001)
    is_error(large, 400, "BadRequest")
    assert (large.parsed.details[0].param, large.parsed.details[0].value) == ("limit", "1001")
    is_error(list_users.sync_detailed(client=Client(base_url=URL)), 401, "Unauthorized")


ada = create_once()
conditions(ada)
search(ada)
pages()
credentials()
remove(ada)
refusals()
print("every operation answered as described")
