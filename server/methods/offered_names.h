#ifndef ACTIONCLUSTER_SERVER_METHODS_OFFERED_NAMES_H_
#define ACTIONCLUSTER_SERVER_METHODS_OFFERED_NAMES_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

// What applications offer for connections and rooms is in the directory as methods with these prefixes, so that it is found, asked and withdrawn as any other. Pure; any thread.
namespace actioncluster {

inline constexpr absl::string_view kConnectionMethodPrefix = "connection/";
inline constexpr absl::string_view kHookPrefix = "hook/";

// Callers cannot name it, and applications cannot offer it as a method.
inline bool IsReservedName(absl::string_view method) {
  return absl::StartsWith(method, kConnectionMethodPrefix) || absl::StartsWith(method, kHookPrefix);
}

// The methods of connections that are the node's own, so that applications cannot offer them.
inline bool IsOwnConnectionMethod(absl::string_view name) {
  return name == "set" || name == "sendMessage" || name == "roomAdd" || name == "roomLeave" || name == "destroy";
}

// The hooks of rooms, as they are called in `RoomHooks.required` and in Register.hooks.
inline constexpr absl::string_view kHookJoin = "join";
inline constexpr absl::string_view kHookLeave = "leave";
inline constexpr absl::string_view kHookReceive = "say.receive";
inline constexpr absl::string_view kHookDeliver = "say.deliver";
// One of these.
inline bool IsHook(absl::string_view name) {
  return name == kHookJoin || name == kHookLeave || name == kHookReceive || name == kHookDeliver;
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_OFFERED_NAMES_H_
