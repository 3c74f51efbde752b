"""Matrix Fleet: from a dozen lines of intent to every manifest of a Matrix homeserver.

The way through the house is inventory -> model -> plan -> components -> compiled/ -> checks; each
package here is one of those rooms and says in its docstring what it decides and what it does not.
"""

import gc

# Kapitan forks with its whole inventory in memory and loads us in the child. Each full collection would walk a thousand
# tenants that live until the process ends, and copy them by its marks: a fifth of what one target costs.
gc.freeze()
