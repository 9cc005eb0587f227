/// A BSON document: names and values in order. Of two elements with one name the first counts, as in most drivers.
package struct BSONDocument: Sendable, Hashable {
    /// One name and its value.
    package struct Element: Sendable, Hashable {
        package var key: String
        package var value: BSONValue

        package init(_ key: String, _ value: BSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// In the order of the document.
    package var elements: [Element]

    package init(_ elements: [Element] = []) { self.elements = elements }

    /// The value of a name; nil if there is none. Setting nil removes it.
    package subscript(key: String) -> BSONValue? {
        get { elements.first { $0.key == key }?.value }
        set {
            let index = elements.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): elements[index].value = value
            case (let index?, nil): elements.remove(at: index)
            case (nil, let value?): elements.append(Element(key, value))
            case (nil, nil): break
            }
        }
    }

    /// Adds an element at the end without looking whether there is one of that name.
    package mutating func append(_ key: String, _ value: BSONValue) { elements.append(Element(key, value)) }

    package var isEmpty: Bool { elements.isEmpty }
    package var count: Int { elements.count }
}

extension BSONDocument: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, BSONValue)...) {
        self.init(elements.map { Element($0.0, $0.1) })
    }
}

extension BSONDocument: CustomStringConvertible {
    /// As JSON, for people; see ``BSONValue/jsonText``.
    package var description: String { BSONValue.document(self).jsonText }
}
