#ifndef ACTIONCLUSTER_TESTS_CHAOS_DRILL_H_
#define ACTIONCLUSTER_TESTS_CHAOS_DRILL_H_

#include "tests/chaos/ledger.h"
#include "tests/chaos/scenarios.h"
#include "tests/chaos/world.h"

namespace actioncluster::chaos {

// Sets the system up, puts load on it, does to it what the scenario says, lets it come to rest, and counts. In the main thread. Says on standard error what it does. Fails the program if the system cannot
// be set up, or what was killed does not come back at all.
Ledger RunDrill(const Scenario& scenario, const DrillOptions& options);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_DRILL_H_
