/// Rows under headings, each column as wide as its widest cell.
package struct Table: Sendable {
    private var rows: [[String]]

    /// Makes a table without rows.
    package init(_ headings: [String]) { rows = [headings] }

    /// Adds a row; cells may be decorated.
    package mutating func add(_ cells: [String]) { rows.append(cells) }

    /// The table's lines.
    package func render(style: Style = .plain, indent: String = "") -> String {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.columns)
            }
        }
        var text = ""
        for (index, row) in rows.enumerated() {
            var line = ""
            for (column, cell) in row.enumerated() {
                let cell = index == 0 ? style.bold(cell) : cell
                line += column == row.count - 1 ? cell : cell.padded(to: widths[column]) + "  "
            }
            while line.last == " " { line.removeLast() }
            text += indent + line + "\n"
        }
        return text
    }
}
