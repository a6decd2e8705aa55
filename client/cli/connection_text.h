#ifndef ACTIONCLUSTER_CLIENT_CLI_CONNECTION_TEXT_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONNECTION_TEXT_H_

#include <string>

#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/rooms.pb.h"

// Connections and rooms as people read them. Pure functions; any thread.
namespace actioncluster::cli {

// All about one, a line for each thing.
std::string FormatConnection(const v1::Connection& connection);
// Tables, with a line for each.
std::string FormatConnections(const v1::ConnectionServiceListResponse& response);
std::string FormatRooms(const v1::RoomServiceListResponse& response);
// What there is to say of the room, then its members.
std::string FormatRoom(const v1::RoomServiceStatusResponse& response);
// `100 messages of 7d`, `none`.
std::string DescribeHistory(bool is_set, const v1::RoomHistory& history);
// `joined`, `left`, `lost`, `there`.
std::string ChangeName(v1::WatchRoomResponse::Kind kind);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONNECTION_TEXT_H_
