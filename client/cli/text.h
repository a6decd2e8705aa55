#ifndef ACTIONCLUSTER_CLIENT_CLI_TEXT_H_
#define ACTIONCLUSTER_CLIENT_CLI_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Text for a terminal. Names, messages and contents come from whoever has access to the cluster: none of them may move the cursor, change colours or forge
// a line. Pure functions; any thread.
namespace actioncluster::cli {

// With what is not printable written as an escape, as JSON does (so that JSON stays the same JSON): control characters, characters that turn the
// direction of writing, end a line or are not seen; and bytes that are no UTF-8, as \xNN. A backslash stays as it is.
std::string Escape(absl::string_view text);

// How many cells a terminal takes for escaped text, roughly: two for what East Asia writes and for emoji, none for combining marks.
size_t DisplayWidth(absl::string_view text);

// A cell: escaped, and filled with spaces up to `width`.
std::string Cell(absl::string_view text, size_t width);

// Rows in columns as wide as their widest cell, two spaces apart, under a line of headings. Without spaces at the ends of lines.
class Table {
 public:
  explicit Table(std::vector<std::string> headings);
  // As many cells as there are headings.
  void Add(const std::vector<std::string>& cells);
  // Each line with its end.
  std::string Format() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // Escaped; the headings first.
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_TEXT_H_
