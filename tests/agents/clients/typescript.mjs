// The official SDK of TypeScript, 1.32: revision 2025-11-25. Run in the folder where it is installed.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const asked = JSON.parse(process.argv[2]);
const headers = { Authorization: `Bearer ${process.env.SYNC_TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(asked.url), { requestInit: { headers } });
const client = new Client({ name: "tests", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const called = await client.callTool({ name: asked.tool, arguments: asked.arguments });
const wrong = await client.callTool({ name: asked.tool, arguments: { no_such: 1 } });
const uris = [];
let cursor, pages = 0;
do {
  const page = await client.listResources(cursor ? { cursor } : {});
  pages += 1;
  uris.push(...page.resources.map((each) => each.uri));
  cursor = page.nextCursor;
} while (cursor);
const read = (await client.readResource({ uri: asked.uri })).contents[0];
let missing = 0;
try {
  await client.readResource({ uri: "sync://no-such/manifest" });
} catch (error) {
  missing = error.code;
}
const ref = { type: "ref/resource", uri: "sync://{dataset}/files/{+path}" };
const completed = await client.complete({ ref, argument: { name: "dataset", value: "" } });
const told = {
  version: transport.protocolVersion,
  server: client.getServerVersion().name,
  tools: tools.map((tool) => tool.name),
  hints: Object.fromEntries(tools.map((tool) => [tool.name, tool.annotations.readOnlyHint])),
  structured: called.structuredContent,
  wrong: [wrong.isError, wrong.structuredContent.error.code],
  uris,
  pages,
  read: read.text,
  provenance: read._meta["syncproject/provenance"].path,
  missing,
  completed: completed.completion.values,
  templates: (await client.listResourceTemplates()).resourceTemplates.length,
};
process.stdout.write(JSON.stringify(told) + "\n");
await client.close();
