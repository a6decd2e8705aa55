#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_JSON_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_JSON_H_

#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"

// JSON as the API carries it: google.protobuf.Value for content, google.protobuf.ListValue for arguments. Pure functions; any thread.
namespace actioncluster::client {

// One JSON value: `{"n": 1}`, `[]`, `null`, `"text"`. INVALID_ARGUMENT if the text is no JSON (RFC 8259), or nested deeper than nodes take. Numbers
// become doubles: integers beyond 2^53 are rounded.
absl::StatusOr<google::protobuf::Value> ParseJson(absl::string_view text);
// A JSON array as arguments: `["hi", 3]`. INVALID_ARGUMENT if the text is no JSON array.
absl::StatusOr<google::protobuf::ListValue> ParseArgs(absl::string_view text);

// In one line, without spaces; fields by name. Integers up to 2^53 without a decimal point.
std::string ToJson(const google::protobuf::Value& value);
std::string ToJson(const google::protobuf::ListValue& values);

// A value of one scalar: text, a number (as a double: integers are exact up to 2^53), or a bool.
google::protobuf::Value ToValue(absl::string_view text);
google::protobuf::Value ToValue(const char* text);
google::protobuf::Value ToValue(google::protobuf::Value value);
template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
google::protobuf::Value ToValue(T scalar) {
  google::protobuf::Value value;
  if constexpr (std::is_same_v<T, bool>) {
    value.set_bool_value(scalar);
  } else {
    value.set_number_value(static_cast<double>(scalar));
  }
  return value;
}

// Arguments of a call: Args("hi", 3, true).
template <class... T>
google::protobuf::ListValue Args(T&&... arguments) {
  google::protobuf::ListValue list;
  (..., (*list.add_values() = ToValue(std::forward<T>(arguments))));
  return list;
}

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_JSON_H_
