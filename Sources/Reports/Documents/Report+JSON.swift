// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

extension Report {
  /// The report as members of a JSON document, in the order of its parts.
  package var json: [JSONMember] {
    blocks.flatMap { block -> [JSONMember] in
      switch block {
      case .facts(let facts, key: nil): facts.flatMap(\.fields)
      case .facts(let facts, let key?):
        [JSONMember(key: ExactString(key), value: .object(facts.flatMap(\.fields)))]
      case .notes(let notes): notes.flatMap(\.fields)
      case .fields(let members): members
      case .table(let table):
        table.audience == .people
          ? [] : [JSONMember(key: ExactString(table.key), value: table.json)]
      }
    }
  }
}

extension ReportTable {
  /// The rows: an array of objects, or an object of them by the first column.
  package var json: JSONValue {
    let shown = columns(for: .programs)
    switch form {
    case .list: return .array(rows.map { .object(members(of: $0, shown[...])) })
    case .keyed:
      return .object(
        rows.map { row in
          JSONMember(
            key: ExactString(shown.first.map { row[$0].name } ?? ""),
            value: .object(members(of: row, shown.dropFirst())))
        })
    }
  }

  /// The cells of a row by key; those of a group follow each other in an object of their own.
  private func members(of row: [Cell], _ shown: ArraySlice<Int>) -> [JSONMember] {
    var members: [JSONMember] = []
    var remaining = shown
    while let index = remaining.first {
      guard let group = columns[index].group else {
        members.append(
          JSONMember(key: ExactString(columns[index].key), value: row[index].json))
        remaining.removeFirst()
        continue
      }
      let inside = remaining.prefix { columns[$0].group == group }
      members.append(
        JSONMember(
          key: ExactString(group),
          value: .object(
            inside.map { JSONMember(key: ExactString(columns[$0].key), value: row[$0].json) })))
      remaining.removeFirst(inside.count)
    }
    return members
  }
}
