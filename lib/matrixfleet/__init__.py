"""Matrix Fleet: from a dozen lines of intent to every manifest of a Matrix homeserver.

The way through the house is inventory -> model -> plan -> components -> compiled/ -> checks; each
package here is one of those rooms and says in its docstring what it decides and what it does not.
"""
