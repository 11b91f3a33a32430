module azure-demo-k8s-go

go 1.22
