// Goes through every operation with openapi-fetch and the types of openapi-typescript. The steps are
// the same in every language.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Credential = components["schemas"]["Credential"];

const setting = (name: string): string => {
  const value = process.env[name];
  assert(value !== undefined, `${name} is not set`);
  return value;
};

const api = createClient<paths>({
  baseUrl: setting("ROLLCALL_URL"),
  headers: { Authorization: `Bearer ${setting("TOKEN")}` },
});

const header = (response: Response, name: string): string => {
  const value = response.headers.get(name);
  assert(value !== null, `${name} is missing`);
  return value;
};

async function createOnce(): Promise<string> {
  const body = { claims: { name: "Ada", address: { country: "NZ" } }, authenticationProvider: { subjectId: "idp|1" } };
  const params = { header: { "Idempotency-Key": "typescript-1" } };
  const created = await api.POST("/core/v1/users", { params, body });
  assert.equal(created.response.status, 201);
  assert(created.data);
  assert.equal(header(created.response, "ETag"), '"1"');
  assert.match(header(created.response, "Location"), new RegExp(`/${created.data.id}$`));
  const again = await api.POST("/core/v1/users", { params, body });
  assert.deepEqual([again.response.status, again.data], [200, created.data]);
  const other = await api.POST("/core/v1/users", { params, body: { claims: {} } });
  assert.deepEqual([other.response.status, other.error?.code], [422, "UnprocessableEntity"]);
  const position = header(created.response, "Log-Position");
  const path = { id: created.data.id };
  const read = await api.GET("/core/v1/users/{id}", { params: { path, header: { "Read-After": position } } });
  assert.deepEqual(read.data, created.data);
  return created.data.id;
}

async function conditions(id: string): Promise<void> {
  const path = { id };
  const unchanged = await api.GET("/core/v1/users/{id}", { params: { path, header: { "If-None-Match": '"1"' } } });
  assert.equal(unchanged.response.status, 304);
  const body = { claims: { name: "Ada Lovelace" } };
  const updated = await api.PUT("/core/v1/users/{id}", { params: { path, header: { "If-Match": '"1"' } }, body });
  assert.equal(header(updated.response, "ETag"), '"2"');
  assert.equal(updated.data?.claims.name, "Ada Lovelace");
  assert.equal(updated.data?.authenticationProvider?.subjectId, "idp|1");
  const stale = await api.PUT("/core/v1/users/{id}", { params: { path, header: { "If-Match": '"1"' } }, body });
  assert.deepEqual([stale.response.status, stale.error?.code], [412, "PreconditionFailed"]);
}

async function search(id: string): Promise<void> {
  const body = { claims: { name: "Ada Lovelace" }, authenticationProvider: { subjectId: "idp|1" } };
  const found = await api.POST("/core/v1/users/search", { body });
  assert.deepEqual(found.data?.data.map((user) => user.id), [id]);
  assert.equal(found.data?.nextCursor, undefined);
}

async function pages(): Promise<void> {
  const ids = new Set<string>();
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? { limit: 1000 } : { limit: 1000, cursor };
    const { data } = await api.GET("/core/v1/users", { params: { query } });
    assert(data);
    data.data.forEach((user) => ids.add(user.id));
    cursor = data.nextCursor;
  } while (cursor !== undefined);
  assert.equal(ids.size, Number(setting("USERS")) + 1);
}

async function credentials(): Promise<void> {
  const all: Credential[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? { limit: 3 } : { limit: 3, cursor };
    const params = { path: { userId: setting("HOLDER") }, query };
    const { data } = await api.GET("/core/v1/users/{userId}/credentials", { params });
    assert(data);
    all.push(...data.data);
    cursor = data.nextCursor;
  } while (cursor !== undefined);
  assert.deepEqual(all, JSON.parse(setting("CREDENTIALS")));
}

async function remove(id: string): Promise<void> {
  const path = { id };
  const deleted = await api.DELETE("/core/v1/users/{id}", { params: { path } });
  assert.equal(deleted.response.status, 204);
  const gone = await api.GET("/core/v1/users/{id}", { params: { path } });
  assert.deepEqual([gone.response.status, gone.error?.code, gone.error?.details?.[0]?.value], [404, "NotFound", id]);
  const params = { header: { "Idempotency-Key": "typescript-1" } };
  const again = await api.POST("/core/v1/users", { params, body: { claims: {} } });
  assert.deepEqual([again.response.status, again.error?.code], [409, "Conflict"]);
}

async function refusals(): Promise<void> {
  const large = await api.GET("/core/v1/users", { params: { query: { limit: 1001 } } });
  assert.deepEqual(large.error?.details, [
    { value: "1001", msg: "Invalid value", param: "limit", location: "query" },
  ]);
  const anonymous = createClient<paths>({ baseUrl: setting("ROLLCALL_URL") });
  assert.equal((await anonymous.GET("/core/v1/users")).error?.code, "Unauthorized");
}

const id = await createOnce();
await conditions(id);
await search(id);
await pages();
await credentials();
await remove(id);
await refusals();
console.log("every operation answered as described");
