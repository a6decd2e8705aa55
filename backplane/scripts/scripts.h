#ifndef ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_
#define ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_

#include <vector>

#include "backplane/redis/command.h"

// The Lua scripts of this folder, embedded at build. Each states its keys, arguments and returns on top of its file, and whether
// it is durable: what it wrote is what callers rely on, and must outlast a failover where --ack-replicas asks for that.
namespace actioncluster::scripts {

extern const redis::Script kCacheDestroy;
extern const redis::Script kCacheIncrement;
extern const redis::Script kCacheItems;
extern const redis::Script kCacheLoad;
extern const redis::Script kCacheLock;
extern const redis::Script kCachePop;
extern const redis::Script kCachePush;
extern const redis::Script kCacheRestore;
extern const redis::Script kCacheRestoreList;
extern const redis::Script kCacheRestoreNote;
extern const redis::Script kCacheSave;
extern const redis::Script kCacheUnlock;
extern const redis::Script kCacheWait;
extern const redis::Script kMembershipJoin;
extern const redis::Script kMembershipRenew;
extern const redis::Script kMembershipUpdate;
extern const redis::Script kMembershipLeave;
extern const redis::Script kMembershipRead;
extern const redis::Script kPresenceClaim;
extern const redis::Script kPresenceRelease;
extern const redis::Script kPresenceStore;
extern const redis::Script kRoomCreate;
extern const redis::Script kRoomDestroy;
extern const redis::Script kRoomHistory;
extern const redis::Script kRoomJoin;
extern const redis::Script kRoomLeave;
extern const redis::Script kRoomSay;
extern const redis::Script kRoomsEnlist;
extern const redis::Script kRoomsList;
extern const redis::Script kRoomsUnlist;
extern const redis::Script kTasksApply;
extern const redis::Script kTasksClaim;
extern const redis::Script kTasksConfigure;
extern const redis::Script kTasksDrop;
extern const redis::Script kTasksEnqueue;
extern const redis::Script kTasksFire;
extern const redis::Script kTasksList;
extern const redis::Script kTasksQueue;
extern const redis::Script kTasksRead;
extern const redis::Script kTasksSchedule;
extern const redis::Script kTasksSchedules;
extern const redis::Script kTasksSweep;
extern const redis::Script kTasksTurn;
extern const redis::Script kTasksUnschedule;
extern const redis::Script kTasksWatch;

// All of them: what a connection loads before it serves.
std::vector<redis::Script> All();

}  // namespace actioncluster::scripts

#endif  // ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_
