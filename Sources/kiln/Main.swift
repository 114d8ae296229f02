// SPDX-License-Identifier: Apache-2.0

import KilnCommands

@main
enum Main {
  static func main() {
    Kiln.runAndExit()
  }
}
