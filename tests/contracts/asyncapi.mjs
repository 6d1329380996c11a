// Prints every diagnostic of the AsyncAPI parser about the files in the arguments, whatever its severity.
import { readFile } from "node:fs/promises";
import parser from "@asyncapi/parser";

const reader = new parser.Parser();
for (const file of process.argv.slice(2)) {
  const { diagnostics } = await reader.parse(await readFile(file, "utf8"));
  for (const { code, message, path } of diagnostics) {
    console.log(`${file}\t${code}: ${message} at ${path.join("/")}`);
  }
}
