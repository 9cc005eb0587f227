// rhythmd
