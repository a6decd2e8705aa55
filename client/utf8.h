#ifndef ACTIONCLUSTER_CLIENT_UTF8_H_
#define ACTIONCLUSTER_CLIENT_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

// Strings in messages must be UTF-8: a receiver refuses the whole message otherwise, and ends the stream that it came on. Pure functions; any thread.
namespace actioncluster::client {

bool IsUtf8(absl::string_view text);
// The same text, with a question mark for each byte that is no part of a character.
std::string ToUtf8(absl::string_view text);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_UTF8_H_
