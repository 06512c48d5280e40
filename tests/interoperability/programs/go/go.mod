module interoperability

go 1.22
