// Read by the type checker alone: the component exports what its world asks for.

import type { Rank } from "../sdk/index.ts";
import * as plugin from "./index.ts";

plugin satisfies Rank;
