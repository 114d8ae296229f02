// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How much else this machine has to do.
package enum LoadAverage {
  /// Processes that ran or waited to run, averaged over the last minute; nil if the system does not say.
  package static var lastMinute: Double? {
    var average = 0.0
    return unsafe getloadavg(&average, 1) == 1 ? average : nil
  }
}
