module view

go 1.22
