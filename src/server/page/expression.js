// The expressions that the list is searched with. The page writes only the clauses of the folder and
// the filter; what the user wrote goes to the server as it is, which also says what is wrong with it.

/** A value in quotes, where `"`, `*` and the backslash itself need a backslash. */
function quoted(value) {
  return `"${value.replace(/[\\"*]/g, '\\$&')}"`;
}

function placeClause({ query, folder, subfolders }) {
  if (query) return `(${query})`;
  if (!subfolders) return `folder=${quoted(folder)}`;
  if (folder === '') return null;
  const below = `${quoted(folder).slice(0, -1)}/*"`;
  return `(folder=${quoted(folder)} OR folder:${below})`;
}

/** The status is always said: without it the server would answer live assets only. */
export function expressionFor(route) {
  return [placeClause(route), `status:${route.status}`].filter(Boolean).join(' AND ');
}

/**
 * Where in the user's own text an error is, given where it is in the expression that was sent:
 * that begins with a parenthesis of ours.
 */
export function positionInQuery(position, query) {
  return Math.min(Math.max(position - 1, 0), query.length);
}
