"use strict";

// An optional parameter is not sent, and is in no code sample, unless the reader ticks it: an example of
// a cursor or a position is not one of this service.
function optional(contract) {
  for (const parameter of Object.values(contract.components.parameters)) {
    if (parameter.required) continue;
    const examples = parameter.examples ?? { example: { value: parameter.example } };
    delete parameter.example;
    parameter.examples = Object.fromEntries(
      Object.entries(examples).map(([name, example]) => [name, { ...example, "x-disabled": true }]),
    );
  }
  return contract;
}

// Everything comes from this service: no fonts, no proxy, no telemetry, no assistant. The token stays in
// the page's memory.
function show(contract) {
  Scalar.createApiReference("#reference", {
    sources: [
      { title: "HTTP API", slug: "http", content: optional(contract) },
      { title: "Kafka topics", slug: "kafka", url: "/asyncapi.json" },
    ],
    agent: { disabled: true },
    defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
    hideClientButton: true,
    mcp: { disabled: true },
    persistAuth: false,
    showDeveloperTools: "never",
    telemetry: false,
    withDefaultFonts: false,
  });
}

fetch("/openapi.json")
  .then((response) => response.json())
  .then(show)
  .catch((error) => {
    document.getElementById("reference").textContent = `/openapi.json can't be read: ${error.message}`;
  });
