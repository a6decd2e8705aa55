#ifndef ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_
#define ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_

#include <vector>

#include "backplane/redis/command.h"

// The Lua scripts of this folder, embedded at build. Each states its keys, arguments and returns on top of its file.
namespace actioncluster::scripts {

extern const redis::Script kMembershipJoin;
extern const redis::Script kMembershipRenew;
extern const redis::Script kMembershipUpdate;
extern const redis::Script kMembershipLeave;
extern const redis::Script kMembershipRead;
extern const redis::Script kPresenceClaim;
extern const redis::Script kPresenceRelease;

// All of them: what a connection loads before it serves.
std::vector<redis::Script> All();

}  // namespace actioncluster::scripts

#endif  // ACTIONCLUSTER_BACKPLANE_SCRIPTS_SCRIPTS_H_
