"use strict";

// Everything from outside becomes text: nodes are made here, and never from markup.
function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const child of children.flat()) made.append(child);
  return made;
}

const byId = (id) => document.getElementById(id);
const pretty = (value) => JSON.stringify(value, null, 2);

let contract;

// What a `$ref` stands for, with the members beside it.
function resolve(value) {
  if (!value || !value.$ref) return value;
  const { $ref, ...beside } = value;
  const steps = $ref.slice(2).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return { ...resolve(steps.reduce((at, step) => at[step], contract)), ...beside };
}

// The same at every depth; no schema of this contract contains itself.
function expand(value) {
  if (Array.isArray(value)) return value.map(expand);
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(resolve(value)).map(([key, member]) => [key, expand(member)]));
}

const shown = (title, value) => node("details", {}, node("summary", {}, title), node("pre", { tabindex: "0" }, pretty(value)));

function parameterField(operation, parameter) {
  const id = `${operation.operationId}-${parameter.in}-${parameter.name}`;
  const attributes = { id, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-note` };
  if (parameter.required) attributes.required = "";
  const input = node("input", attributes);
  const example = parameter.example === undefined ? "" : ` Example: ${parameter.example}`;
  const note = node("small", { id: `${id}-note` }, (parameter.description || "") + example);
  const title = `${parameter.name} (${parameter.in}${parameter.required ? ", required" : ""})`;
  const field = node("div", {}, node("label", { for: id }, title), input, note, shown(`Schema of ${parameter.name}`, expand(parameter.schema)));
  return { parameter, input, field };
}

function bodyField(operation) {
  if (!operation.requestBody) return null;
  const id = `${operation.operationId}-body`;
  const { schema, examples } = operation.requestBody.content["application/json"];
  const samples = Object.values(examples || {}).map(resolve);
  const input = node("textarea", { id, rows: "10", spellcheck: "false", "aria-describedby": `${id}-note` });
  input.value = samples.length ? pretty(samples[0].value) : "";
  const note = node("small", { id: `${id}-note` }, operation.requestBody.description || "");
  const others = samples.map((sample) => shown(`Example: ${sample.summary}`, sample.value));
  const field = node("div", {}, node("label", { for: id }, "Body (application/json)"), input, note, shown("Schema of the body", expand(schema)), others);
  return { input, field };
}

function answers(operation) {
  const list = node("dl");
  for (const [status, response] of Object.entries(operation.responses)) {
    const { description, headers = {}, content = {} } = expand(response);
    const named = Object.entries(headers).map(([name, header]) => node("li", {}, node("code", {}, name), `: ${header.description}`));
    const body = content["application/json"];
    const examples = body && (body.examples ? Object.values(body.examples).map((example) => example.value) : [body.example]);
    const details = body ? [shown(`Schema of ${status}`, body.schema), examples.map((example) => shown(`Example of ${status}`, example))] : [];
    list.append(node("dt", {}, status), node("dd", {}, description, node("ul", {}, named), details.flat()));
  }
  return node("details", {}, node("summary", {}, "Answers"), list);
}

// The request that the fields make: an empty field is not sent.
function request(method, path, fields, body) {
  const headers = new Headers();
  const query = new URLSearchParams();
  const token = byId("token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  for (const { parameter, input } of fields) {
    const value = input.value.trim();
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.set(parameter.name, value);
    else if (value) headers.set(parameter.name, value);
  }
  if (body) headers.set("Content-Type", "application/json");
  const asked = query.toString();
  const url = asked ? `${path}?${asked}` : path;
  const options = { method: method.toUpperCase(), headers, cache: "no-store", credentials: "omit", redirect: "error" };
  return [url, body ? { ...options, body: body.input.value } : options];
}

// As it came, since reading it as JSON would round long integers.
async function told(response) {
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  return `${headers}\n\n${await response.text()}`;
}

async function send(parts, status, output) {
  status.textContent = "Sending…";
  output.textContent = "";
  output.hidden = true;
  try {
    const response = await fetch(...request(...parts));
    output.textContent = await told(response);
    output.hidden = false;
    status.textContent = `${response.status} ${response.statusText}`;
  } catch (error) {
    status.textContent = `No answer: ${error.message}`;
  }
}

function section(path, method, operation, common) {
  const { operationId, summary, description } = operation;
  const title = node("h2", { id: operationId }, summary, " ", node("code", {}, `${method.toUpperCase()} ${path}`));
  const parameters = [...common, ...(operation.parameters || [])].map(resolve);
  const fields = parameters.map((parameter) => parameterField(operation, parameter));
  const body = bodyField(operation);
  const status = node("p", { role: "status" });
  const output = node("pre", { tabindex: "0", "aria-label": "Answer", hidden: "" });
  const button = node("button", { type: "submit" }, "Send");
  const form = node("form", { "aria-label": `Try: ${summary}` }, fields.map(({ field }) => field), body ? [body.field] : [], button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send([method, path, fields, body], status, output);
    button.disabled = false;
  });
  return node("section", { "aria-labelledby": operationId }, title, node("p", {}, description), form, status, output, answers(operation));
}

function show() {
  byId("about").textContent = `${contract.info.summary}\n\n${contract.info.description}`;
  for (const [path, item] of Object.entries(contract.paths)) {
    const methods = Object.entries(item).filter(([name]) => name !== "parameters");
    for (const [method, operation] of methods) {
      const link = node("a", { href: `#${operation.operationId}` }, `${operation.summary} (${method.toUpperCase()} ${path})`);
      byId("contents").append(node("li", {}, link));
      byId("operations").append(section(path, method, operation, item.parameters || []));
    }
  }
}

fetch("/openapi.json")
  .then((response) => response.json())
  .then((document) => { contract = document; show(); })
  .catch((error) => { byId("about").textContent = `/openapi.json can't be read: ${error.message}`; });
