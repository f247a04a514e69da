// The client of the older service's platform, as Node.js runs it without any package: products without a category, searches
// by picture, and polling. Usage: node shop.mjs BASE PICTURE QUERY_PICTURE. Prints what it was answered, as JSON.

import { readFile } from "node:fs/promises";

const [base, picture, query] = process.argv.slice(2);

async function post(path, form) {
  const response = await fetch(`${base}${path}`, { method: "POST", body: form });
  const body = await response.json();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(body)}`);
  return body;
}

async function poll(path) {
  for (;;) {
    const response = await fetch(`${base}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const job = await response.json();
    if (job.status === "completed") return job.result;
    if (job.status === "failed") throw new Error(`${path}: ${job.error}`);
    if (!["pending", "processing"].includes(job.status)) throw new Error(`${path}: status ${job.status}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const blob = async (path, type) => new Blob([await readFile(path)], { type });

const product = new FormData();
product.append("images", await blob(picture, "image/png"), "front.png");
product.append("name", "Ginger cat poster");
product.append("price", "19.5");
product.append("description", "A cat that looks at you");
const accepted = await post("/add_product", product);
const added = await poll(`/add_product/job/${accepted.job_id}`);

const search = new FormData();
search.append("image", await blob(query, "image/jpeg"), "query.jpg");
const searching = await post("/search", search);
const found = await poll(`/search/job/${searching.job_id}`);

// The platform sends words as a form.
const words = await post("/search", new URLSearchParams({ query: "ginger cat" }));
const byWords = await poll(`/search/job/${words.job_id}`);

console.log(JSON.stringify({ accepted, added, found, byWords }));
