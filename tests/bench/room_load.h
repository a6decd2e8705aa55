#ifndef ACTIONCLUSTER_TESTS_BENCH_ROOM_LOAD_H_
#define ACTIONCLUSTER_TESTS_BENCH_ROOM_LOAD_H_

namespace actioncluster::bench {

struct RoomLoad {
  int connections = 2000;
  int rooms = 200;
  double rate = 200;  // Messages a second, in all rooms together.
  double seconds = 10;
};

// Connections over three nodes, each in one room, whose members take turns at saying something at this rate, however
// long that takes. Prints what each member should have heard and has, and after how long. False: something
// is missing, came twice, or out of its sender's order.
bool MeasureRooms(const RoomLoad& load);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_ROOM_LOAD_H_
